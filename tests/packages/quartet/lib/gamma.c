#include "common.h"
#include "gamma.h"

int gamma_value(void)
{
    return GAMMA * COMMON_UNIT;
}
