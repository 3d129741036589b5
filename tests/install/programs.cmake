# The consumer, in C and in C++, with each of the TARGETS. As a check of what they really are, FILZ_IS says what
# filz::filz must be: static or shared.
get_target_property(aliased filz::filz ALIASED_TARGET)
get_target_property(type ${aliased} TYPE)
string(TOUPPER "${FILZ_IS}_LIBRARY" expected)
if(NOT type STREQUAL expected)
    message(FATAL_ERROR "filz::filz is ${type}, not ${expected}")
endif()

enable_testing()
foreach(target ${TARGETS})
    string(REPLACE "::" "_" suffix ${target})
    add_executable(c_${suffix} ${CMAKE_CURRENT_LIST_DIR}/consumer.c)
    add_executable(cpp_${suffix} ${CMAKE_CURRENT_LIST_DIR}/consumer.cpp)
    foreach(program c_${suffix} cpp_${suffix})
        target_link_libraries(${program} ${target})
        add_test(NAME ${program} COMMAND ${program})
    endforeach()
endforeach()
