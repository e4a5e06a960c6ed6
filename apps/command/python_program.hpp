#pragma once

#include <string>

#include "command/cli.hpp"
#include "troupe/runtime/error.hpp"

namespace troupe::apps {

/// "train.py" or "train.py:train": a program in Python.
bool names_python_program(const std::string& program);

/// Becomes the interpreter that runs it, with the package that stands beside this command; answers the reason
/// when it cannot. No thread may have been started.
Error run_python_program(const RunCommand& command, int log_level);

/// The same, to print what its parameters are.
Error explain_python_program(const std::string& program);

}  // namespace troupe::apps
