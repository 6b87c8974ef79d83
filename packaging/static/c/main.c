/* The static file: one door, as in gcp_sa_credential_provider/__main__.py. The kubelet's exec has
   no arguments and no terminal; everything else is a person at work. */

#include "provider.h"

#include <elf.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int failed(const char *what)
{
    char line[256];
    int n = snprintf(line, sizeof line,
                     "gcp-sa-credential-provider: [INTERNAL] unexpected %.128s at the start. "
                     "Fix: report it with this line and the version (--version)", what);
    ssize_t written = write(2, line, (size_t)n);
    (void)written; /* there is nobody else to tell */
    return 1;
}

/* Where a dynamic loader would make relocated constants read-only (RELRO), a static file has to do
   it itself: musl does not. The linker has placed them on pages of their own. */
static int protect_relocated(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    const ElfW(Phdr) *end = headers + getauxval(AT_PHNUM);
    const uintptr_t page = getauxval(AT_PAGESZ);
    for (const ElfW(Phdr) *h = headers; h < end; h++) {
        if (h->p_type != PT_GNU_RELRO)
            continue;
        /* PT_PHDR and AT_PHDR name the same table: the difference is where the file was put. */
        uintptr_t start = (uintptr_t)headers - headers->p_vaddr + h->p_vaddr;
        uintptr_t stop = (start + h->p_memsz) & -page;
        return mprotect((void *)(start & -page), stop - (start & -page), PROT_READ);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (protect_relocated() < 0)
        return failed("mprotect");
    if (argc > 1 || isatty(0))
        return run_whole(argc, argv);
    /* The memory holds tokens: no core dump, no other process of this user may look into it. */
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    /* A reader that has gone is an error to report, not a reason to die. */
    signal(SIGPIPE, SIG_IGN);
    return run_core(argv);
}
