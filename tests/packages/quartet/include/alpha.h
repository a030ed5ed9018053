#define ALPHA 100
