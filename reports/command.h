/* `landfall report [NAME]`: a campaign, or the list of them, from the state itself. */
#ifndef LF_REPORTS_COMMAND_H
#define LF_REPORTS_COMMAND_H

/* argv[0] is "report". The exit status. */
int command_report(int argc, char **argv);

#endif
