#ifndef SHARED_H
#define SHARED_H

#define SHARED_OFFSET 0

int shared_value(void);

#endif
