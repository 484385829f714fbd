/* The commands that `landfall` runs itself; argv[0] is the command's name, the
 * return value the exit status (core/io/daemon.h). The others are exec'ed from
 * the program that owns them (main.c). */
#ifndef LF_COMMAND_COMMAND_H
#define LF_COMMAND_COMMAND_H

int command_up(int argc, char **argv);
int command_token(int argc, char **argv);
int command_key(int argc, char **argv);
int command_config(int argc, char **argv);
int command_dump(int argc, char **argv);
int command_forget(int argc, char **argv);
int command_doctor(int argc, char **argv);

#endif
