/* The filter `landfall log`: an MTA's log in on stdin, delivery facts out. */
#ifndef LF_COLLECTOR_COMMAND_H
#define LF_COLLECTOR_COMMAND_H

/* argv[0] is "log". The exit status. */
int command_log(int argc, char **argv);

#endif
