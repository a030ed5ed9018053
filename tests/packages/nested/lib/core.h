#ifndef CORE_H
#define CORE_H

int core_value(void);

#endif
