#define GAMMA 3
