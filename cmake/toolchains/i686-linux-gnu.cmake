# 32-bit x86 with Debian's cross compiler. Where the kernel runs 32-bit programs, they run as they are, on the cross
# compiler's own C library, elsewhere in qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER i686-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2 -Wl,-rpath,/usr/i686-linux-gnu/lib")
execute_process(COMMAND /usr/i686-linux-gnu/lib/ld-linux.so.2 --version
                RESULT_VARIABLE filz_no_32_bits OUTPUT_QUIET ERROR_QUIET)
if(filz_no_32_bits)
    set(CMAKE_CROSSCOMPILING_EMULATOR qemu-i386)
endif()
