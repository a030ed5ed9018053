#include "shared.hpp"

namespace shared {

Keeper::Keeper(int value) : value_(value) {}

int Keeper::value() const
{
    return value_;
}

const Keeper &keeper()
{
    static const Keeper instance(VALUE);
    return instance;
}

}  // namespace shared
