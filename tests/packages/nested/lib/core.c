#include "core.h"

int core_value(void)
{
    return VALUE;
}
