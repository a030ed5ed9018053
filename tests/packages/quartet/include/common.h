#ifndef COMMON_H
#define COMMON_H

#define COMMON_UNIT 1

int alpha_value(void);
int beta_value(void);
int gamma_value(void);

#endif
