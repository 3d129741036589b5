# The library, headers, the tool, and what find_package(filz) and pkg-config need. The result may be moved elsewhere.
# Who wants both kinds of the library builds and installs twice, into the same prefix.
include(CMakePackageConfigHelpers)

set(filz_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/filz)

install(TARGETS filz EXPORT filz)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

if(TARGET filz_tool)
    install(TARGETS filz_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(FILES c/tool/filz.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES c/tool/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME filz)
endif()

install(EXPORT filz NAMESPACE filz:: FILE filz-${filz_kind}.cmake DESTINATION ${filz_config_dir})
write_basic_package_version_file(filzConfigVersion.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/filzConfig.cmake.in filzConfig.cmake @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filzConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/filzConfigVersion.cmake
        DESTINATION ${filz_config_dir})

# The paths in filz.pc start from where filz.pc is, unless the library directory was given as an absolute path.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(filz_pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
    file(RELATIVE_PATH filz_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    set(filz_pc_prefix "\${pcfiledir}/${filz_pc_prefix}")
endif()
string(REGEX REPLACE "/$" "" filz_pc_prefix "${filz_pc_prefix}")
cmake_path(APPEND filz_pc_libdir "\${prefix}" "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND filz_pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")
# Who links the static library needs this too.
set(filz_pc_libs)
set(filz_pc_libs_private " ${CMAKE_THREAD_LIBS_INIT}")
if(filz_kind STREQUAL static)
    set(filz_pc_libs ${filz_pc_libs_private})
    set(filz_pc_libs_private)
endif()
configure_file(cmake/filz.pc.in filz.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filz.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
