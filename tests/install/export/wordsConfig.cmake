include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_package(filz QUIET PATHS ${CMAKE_CURRENT_LIST_DIR}/../filz NO_DEFAULT_PATH)
include(${CMAKE_CURRENT_LIST_DIR}/words.cmake)
