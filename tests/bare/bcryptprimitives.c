/* bcryptprimitives.dll, from which Rust's std has its random numbers, and which Wine has from version 9 on. */
#include <stdbool.h>
#include <stddef.h>
#include <windows.h>

#include <ntsecapi.h>

__declspec(dllexport) bool ProcessPrng(unsigned char *bytes, size_t size)
{
    return RtlGenRandom(bytes, (ULONG)size) != 0;
}
