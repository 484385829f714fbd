/* Where this program stands: the others are its neighbours in the same folder,
 * in the build folder as after an installation. */
#ifndef LF_COMMAND_SELF_H
#define LF_COMMAND_SELF_H

#define SELF_MAX 4096

/* The path of a program beside this one. 0, or -errno. */
int self_sibling(const char *program, char out[SELF_MAX]);

#endif
