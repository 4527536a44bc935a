#include "words.h"

const char *left(void) { return "left"; }
