#include "common.h"
#include "beta.h"

int beta_value(void)
{
    return BETA * COMMON_UNIT;
}
