# 32-bit x86 with Debian's cross compiler. Where the kernel runs 32-bit programs, they run as they are, on the cross
# compiler's own C library; elsewhere give -DCMAKE_CROSSCOMPILING_EMULATOR=qemu-i386.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER i686-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-Wl,--dynamic-linker=/usr/i686-linux-gnu/lib/ld-linux.so.2 -Wl,-rpath,/usr/i686-linux-gnu/lib")
