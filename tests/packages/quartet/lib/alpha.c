#include "common.h"
#include "alpha.h"

int alpha_value(void)
{
    return ALPHA * COMMON_UNIT;
}
