const char *left(void);
const char *middle(void);
const char *right(void);
