#define BETA 20
