/* The frozen modules, as freeze.py wrote them. */

#include "provider.h"

__asm__(".section .rodata\n"
        ".global frozen_core, frozen_core_end, frozen_code, frozen_names\n"
        ".balign 16\n"
        "frozen_core: .incbin \"core.bin\"\n"
        "frozen_core_end:\n"
        "frozen_code: .incbin \"whole.bin\"\n"
        "frozen_names: .incbin \"whole_names.bin\"\n"
        ".previous\n");

const struct frozen frozen_whole[] = {
#include "whole_table.h"
};
const size_t frozen_whole_count = sizeof frozen_whole / sizeof *frozen_whole;
