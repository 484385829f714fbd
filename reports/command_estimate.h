/* `landfall estimate < in.json > out.json`: how much of the accepted mail reached
 * the inbox. */
#ifndef LF_REPORTS_COMMAND_ESTIMATE_H
#define LF_REPORTS_COMMAND_ESTIMATE_H

/* argv[0] is "estimate". The exit status. */
int command_estimate(int argc, char **argv);

#endif
