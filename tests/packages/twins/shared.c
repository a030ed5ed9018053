#include "shared.h"

int shared_value(void)
{
    return VALUE + SHARED_OFFSET;
}
