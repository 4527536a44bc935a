#include "words.h"

const char *right(void) { return "right"; }
