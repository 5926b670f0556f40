/*
 * A PKCS#11 module for tests: everything goes to the module that FAULT_MODULE
 * names, but for what the file FAULT_FILE asks for at this moment.  A line
 * each:
 *
 *	C_Sign 0x32	that function returns this instead
 *	C_Sign 0x32 once	and the file is emptied
 *	C_Sign hang	it never comes back
 *	C_Sign 0xb1 next	not this time: next time and then
 *	slow 5		C_Sign takes so many seconds longer
 *	wait		C_Sign takes until the file does not say so any more
 *	flip		a bit of each signature is another
 *	final-try	the token says that one wrong PIN would lock it
 *
 * A first line "pid 4711" has all others count for that process alone.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

/* PKCS#11 gives a module no place of its own to keep this. */
static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST list;

CK_RV	C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR);

/* The value behind a word at the beginning of a line, or NULL. */
static const char *
fault(const char *word, char line[80])
{
	const char *path = getenv("FAULT_FILE"), *found = NULL;
	size_t n = strlen(word);
	FILE *f = path == NULL ? NULL : fopen(path, "r");
	int pid;

	if (f != NULL && fscanf(f, "pid %d\n", &pid) == 1 && pid != getpid()) {
		fclose(f);
		return NULL;
	}
	while (f != NULL && found == NULL && fgets(line, 80, f) != NULL) {
		if (strncmp(line, word, n) == 0 &&
		    (line[n] == ' ' || line[n] == '\n'))
			found = line + n;
	}
	if (f != NULL)
		fclose(f);
	return found;
}

/* The file has this fault alone from now on. */
static void
rewrite(const char *function, CK_RV rv)
{
	FILE *f = fopen(getenv("FAULT_FILE"), "w");

	if (f != NULL && fprintf(f, "%s 0x%lx\n", function, rv) > 0 &&
	    fclose(f) == 0)
		return;
	perror("fault.so");
}

static CK_RV
told(const char *function)
{
	char line[80];
	const char *value = fault(function, line);

	if (value == NULL)
		return CKR_OK;
	while (strstr(value, "hang") != NULL)
		pause();
	if (strstr(value, "next") != NULL) {
		rewrite(function, strtoul(value, NULL, 0));
		return CKR_OK;
	}
	if (strstr(value, "once") != NULL &&
	    truncate(getenv("FAULT_FILE"), 0) == -1)
		perror("fault.so");
	return strtoul(value, NULL, 0);
}

static CK_RV
sign(CK_SESSION_HANDLE s, CK_BYTE_PTR data, CK_ULONG n, CK_BYTE_PTR sig,
    CK_ULONG_PTR nsig)
{
	char line[80];
	const char *value;
	CK_RV rv = told("C_Sign");

	if (rv != CKR_OK)
		return rv;
	if ((value = fault("slow", line)) != NULL)
		sleep((unsigned)strtoul(value, NULL, 0));
	while (fault("wait", line) != NULL)
		usleep(50000);
	rv = real->C_Sign(s, data, n, sig, nsig);
	if (rv == CKR_OK && sig != NULL && fault("flip", line) != NULL)
		sig[*nsig / 2] ^= 0x10;
	return rv;
}

static CK_RV
sign_init(CK_SESSION_HANDLE s, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	CK_RV rv = told("C_SignInit");

	return rv != CKR_OK ? rv : real->C_SignInit(s, m, key);
}

static CK_RV
open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR app,
    CK_NOTIFY notify, CK_SESSION_HANDLE_PTR s)
{
	CK_RV rv = told("C_OpenSession");

	return rv != CKR_OK ? rv :
	    real->C_OpenSession(slot, flags, app, notify, s);
}

static CK_RV
login(CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG n)
{
	CK_RV rv = told("C_Login");

	return rv != CKR_OK ? rv : real->C_Login(s, user, pin, n);
}

static CK_RV
slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR n)
{
	CK_RV rv = told("C_GetSlotList");

	return rv != CKR_OK ? rv : real->C_GetSlotList(present, slots, n);
}

static CK_RV
token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	char line[80];
	CK_RV rv = told("C_GetTokenInfo");

	if (rv == CKR_OK)
		rv = real->C_GetTokenInfo(slot, info);
	if (rv == CKR_OK && fault("final-try", line) != NULL)
		info->flags |= CKF_USER_PIN_FINAL_TRY;
	return rv;
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out)
{
	const char *path = getenv("FAULT_MODULE");
	void *dl = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get = dl == NULL ? NULL :
	    (CK_C_GetFunctionList)dlsym(dl, "C_GetFunctionList");

	if (get == NULL || get(&real) != CKR_OK) {
		fprintf(stderr, "fault.so: %s\n", dl == NULL ? dlerror() :
		    "no C_GetFunctionList");
		return CKR_GENERAL_ERROR;
	}
	list = *real;
	list.C_Sign = sign;
	list.C_SignInit = sign_init;
	list.C_OpenSession = open_session;
	list.C_Login = login;
	list.C_GetSlotList = slot_list;
	list.C_GetTokenInfo = token_info;
	*out = &list;
	return CKR_OK;
}
