/* The filters: `landfall log`, an MTA's log in on stdin and delivery facts out;
 * `landfall bounce`, returned messages in and what became of each recipient out.
 * And `landfall verify`, the state of campaigns against their kept hits. */
#ifndef LF_COLLECTOR_COMMAND_H
#define LF_COLLECTOR_COMMAND_H

/* argv[0] is "log". The exit status. */
int command_log(int argc, char **argv);
/* argv[0] is "bounce". The exit status. */
int command_bounce(int argc, char **argv);
/* argv[0] is "verify". The exit status. */
int command_verify(int argc, char **argv);

#endif
