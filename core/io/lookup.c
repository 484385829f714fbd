#include "core/io/lookup.h"

#include "core/base/must.h"

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
	char *host, port[8];
	struct lookup_result result; /* the thread's until done */
	pthread_mutex_t lock;        /* the fields below */
	bool done, abandoned;        /* whoever is the second to be done with it frees it */
	void (*wake)(void *arg);
	void *arg;
};

static void end(struct lookup *l)
{
	pthread_mutex_destroy(&l->lock);
	free(l->host);
	free(l);
}

static int ask(struct lookup *l, int flags)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags},
			*list = NULL;
	int rc = getaddrinfo(l->host, l->port, &hints, &list);

	for (struct addrinfo *i = list; i && l->result.count < LOOKUP_MAX; i = i->ai_next) {
		memcpy(&l->result.at[l->result.count].sa, i->ai_addr, i->ai_addrlen);
		l->result.at[l->result.count++].len = i->ai_addrlen;
	}
	if (rc == 0)
		freeaddrinfo(list);
	else
		l->result.why = gai_strerror(rc);
	return rc;
}

static void *run(void *arg)
{
	struct lookup *l = arg;
	bool abandoned;

	ask(l, 0);
	pthread_mutex_lock(&l->lock);
	l->done = true;
	abandoned = l->abandoned;
	/* Within the lock: what it wakes may end once it has closed the lookup. */
	if (!abandoned)
		l->wake(l->arg);
	pthread_mutex_unlock(&l->lock);
	if (abandoned)
		end(l);
	return NULL;
}

struct lookup *lookup_open(const char *host, int port, void (*wake)(void *arg), void *arg)
{
	struct lookup *l = must_zalloc(sizeof *l);
	pthread_t thread;

	l->host = strdup(host);
	must(l->host);
	snprintf(l->port, sizeof l->port, "%d", port);
	l->wake = wake;
	l->arg = arg;
	pthread_mutex_init(&l->lock, NULL);
	if (ask(l, AI_NUMERICHOST) == 0) {
		l->done = true;
	} else if (pthread_create(&thread, NULL, run, l) == 0) {
		pthread_detach(thread);
	} else {
		l->result.why = "no thread";
		l->done = true;
	}
	return l;
}

void lookup_close(struct lookup **lp)
{
	struct lookup *l = *lp;
	bool done;

	*lp = NULL;
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->abandoned = true;
	done = l->done;
	pthread_mutex_unlock(&l->lock);
	if (done)
		end(l);
}

const struct lookup_result *lookup_get(struct lookup *l)
{
	bool done;

	pthread_mutex_lock(&l->lock);
	done = l->done;
	pthread_mutex_unlock(&l->lock);
	return done ? &l->result : NULL;
}
