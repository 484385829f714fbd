/* The filter `landfall rewrite`: a message in on stdin, the rewritten out. */
#ifndef LF_REWRITER_COMMAND_H
#define LF_REWRITER_COMMAND_H

/* argv[0] is "rewrite". The exit status. */
int command_rewrite(int argc, char **argv);

#endif
