#pragma once

#include <string>

#include "support/built.hpp"
#include "support/shell.hpp"

namespace troupe::test {

/// `troupe ARGUMENTS`, with what it says on standard output and standard error.
inline ShellResult troupe_command(const std::string& arguments) {
  return shell(tests::built("bin/troupe") + " " + arguments + " 2>&1");
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace troupe::test
