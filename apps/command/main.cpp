#include <unistd.h>

#include <iostream>

#include "command/commands.hpp"

int main(int argc, char** argv) {
  troupe::apps::Console console{std::cout, std::cerr, ::isatty(STDERR_FILENO) != 0};
  return troupe::apps::run_command_line({argv + 1, argv + argc}, console);
}
