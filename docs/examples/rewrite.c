/* rewrite RING TRACK-URL CAMPAIGN SEQUENCE < message > copy */
#include <landfall.h>
#include <stdio.h>
#include <time.h>

int main(int argc, char **argv)
{
	static char ring[16384], message[1 << 20], why[200];
	struct landfall_options options = LANDFALL_OPTIONS_INIT;
	struct landfall_recipient who = LANDFALL_RECIPIENT_INIT;
	struct landfall_result copy = LANDFALL_RESULT_INIT;
	struct landfall *l = NULL;
	FILE *file = argc == 5 ? fopen(argv[1], "rb") : NULL;
	int error;

	if (!file || sscanf(argv[4], "%u", &who.sequence) != 1) /* and a lane of your own: landfall(3) */
		return 2;
	options.track_url = argv[2];
	options.key_ring = ring;
	options.key_ring_size = fread(ring, 1, sizeof ring, file);
	fclose(file);
	error = landfall_open(&l, &options, why, sizeof why); /* once, for all messages and threads */
	who.campaign = argv[3];
	who.time = (unsigned long)time(NULL);
	if (!error)
		error = landfall_rewrite(l, &who, message, fread(message, 1, sizeof message, stdin), &copy);
	if (error)
		fprintf(stderr, "%s %s\n", landfall_error_text(error), why);
	fwrite(copy.message, 1, copy.message_size, stdout);
	landfall_result_free(&copy);
	landfall_close(&l);
	return error != 0;
}
