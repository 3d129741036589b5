# This machine's processor with the musl C library instead of glibc.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER musl-gcc)
# musl declares ioctl(2) with an int, and the kernel's request numbers are unsigned.
set(CMAKE_C_FLAGS_INIT -Wno-overflow)
