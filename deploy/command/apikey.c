#include "deploy/command/apikey.h"

#include "core/base/must.h"
#include "core/base/refuse.h"
#include "core/io/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET 32
#define SECRET_TEXT 43 /* base64url of 32 bytes, no padding */

static int failed(struct buf *why, const char *path)
{
	int rc = -errno;

	buf_printf(why, "%s: %s", path, strerror(-rc));
	return rc;
}

/* Open, making the file and its folders where flags say so; refuse a file that
 * others may read. fd, or -errno with *why. */
static int open_private(const char *path, int flags, struct buf *why)
{
	char dir[PATH_MAX];
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof dir) {
		errno = ENAMETOOLONG;
		return failed(why, path);
	}
	strcpy(dir, path);
	for (char *p = dir + 1; (flags & O_CREAT) && (p = strchr(p, '/')); p++) {
		*p = 0;
		if (mkdir(dir, 0700) != 0 && errno != EEXIST)
			return failed(why, dir);
		*p = '/';
	}
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(why, path);
	if (fstat(fd, &st) == 0 && !(st.st_mode & 077))
		return fd;
	close(fd);
	buf_printf(why, "%s: others may read it: chmod 600 %s", path, path);
	return -EACCES;
}

static int check_tenant(slice tenant)
{
	if (!tenant.len || tenant.len > APIKEY_MAX_TENANT)
		return -REFUSE_LENGTH;
	for (size_t i = 0; i < tenant.len; i++)
		if (tenant.p[i] <= ' ' || tenant.p[i] >= 0x7f)
			return -REFUSE_ALPHABET;
	return 0;
}

/* The key's text, made of fresh random bytes. */
static void make(char key[APIKEY_TEXT])
{
	unsigned char id[APIKEY_ID / 2], secret[SECRET], text[4 * (SECRET / 3 + 1) + 1];

	keyfile_random(id, sizeof id);
	keyfile_random(secret, sizeof secret);
	EVP_EncodeBlock(text, secret, sizeof secret);
	for (size_t i = 0; i < SECRET_TEXT; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	snprintf(key, APIKEY_TEXT, "lf_%02x%02x%02x%02x_%.*s", id[0], id[1], id[2], id[3], SECRET_TEXT,
		(const char *)text);
	explicit_bzero(secret, sizeof secret);
	explicit_bzero(text, sizeof text);
}

int apikey_add(const char *path, slice tenant, char key[APIKEY_TEXT], struct buf *why)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct buf line;
	int fd, rc = check_tenant(tenant);

	if (rc < 0) {
		buf_printf(why, "a tenant is 1 to %d printable ASCII characters without a blank",
			APIKEY_MAX_TENANT);
		return rc;
	}
	fd = open_private(path, O_WRONLY | O_CREAT | O_APPEND, why);
	if (fd < 0)
		return fd;
	make(key);
	must(EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL) == 1);
	buf_init(&line, 1024);
	buf_printf(&line, "%.*s %.*s ", APIKEY_ID, key + 3, SLICE_FMT(tenant));
	for (size_t i = 0; i < sizeof digest; i++)
		buf_printf(&line, "%02x", digest[i]);
	buf_byte(&line, '\n');
	/* One write with O_APPEND: two commands at once do not mix. */
	if (write(fd, line.p, line.len) != (ssize_t)line.len || fsync(fd) != 0)
		rc = failed(why, path);
	buf_free(&line);
	close(fd);
	return rc;
}

int apikey_load(const char *path, struct buf *out, struct buf *why)
{
	int fd = open_private(path, O_RDONLY, why), rc = 0;
	ssize_t n;
	uint8_t *p;

	if (fd < 0)
		return fd;
	while ((p = buf_room(out, 4096)) && (n = read(fd, p, 4096)) != 0) {
		if (n < 0) {
			rc = failed(why, path);
			break;
		}
		buf_grew(out, (size_t)n);
	}
	close(fd);
	if (!p) {
		errno = EFBIG;
		rc = failed(why, path);
	}
	return rc;
}

/* Replace the file whole. 0, or -errno with *why. */
static int store(const char *path, slice text, struct buf *why)
{
	char temporary[PATH_MAX];
	int fd, rc = 0;

	if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) {
		errno = ENAMETOOLONG;
		return failed(why, path);
	}
	fd = open_private(temporary, O_WRONLY | O_CREAT | O_TRUNC, why);
	if (fd < 0)
		return fd;
	if (write(fd, text.p, text.len) != (ssize_t)text.len || fsync(fd) != 0 ||
		rename(temporary, path) != 0) {
		rc = failed(why, path);
		unlink(temporary);
	}
	close(fd);
	return rc;
}

int apikey_remove(const char *path, slice id, struct buf *why)
{
	struct buf old, kept;
	bool found = false;
	int rc;

	buf_init(&old, APIKEY_MAX_FILE);
	buf_init(&kept, APIKEY_MAX_FILE);
	rc = apikey_load(path, &old, why);
	for (slice rest = buf_slice(&old); rc == 0 && rest.len;) {
		size_t end = slice_chr(rest, '\n', 0);
		slice line = slice_sub(rest, 0, end == SLICE_NPOS ? rest.len : end + 1);

		if (slice_eq(slice_sub(line, 0, slice_chr(line, ' ', 0)), id))
			found = true;
		else
			buf_put(&kept, line);
		rest = slice_from(rest, line.len);
	}
	if (rc == 0 && !found) {
		buf_printf(why, "%s: no API key \"%.*s\"", path, SLICE_FMT(id));
		rc = -ENOENT;
	}
	if (rc == 0)
		rc = store(path, buf_slice(&kept), why);
	buf_free(&kept);
	buf_free(&old);
	return rc;
}
