#ifndef SHARED_HPP
#define SHARED_HPP

namespace shared {

// Deliberately not templated on VALUE: both variants of shared.cpp define the same symbols.
class Keeper {
public:
    explicit Keeper(int value);
    int value() const;

private:
    int value_;
};

const Keeper &keeper();

}  // namespace shared

#endif
