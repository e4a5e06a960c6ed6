// troupe-chip: the process of one chip. Started by troupe with a socket and the number of its parent; of no
// use to people.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "chip/process.hpp"

int main(int argc, char** argv) {
  using namespace troupe::platform::isolation;
  if (argc != 2 || ::fcntl(socket_of_chip, F_GETFD) < 0) {
    std::fputs("troupe-chip runs one chip for a program of troupe, which starts it; see docs/scaling.md\n",
               stderr);
    return 2;
  }
  // It ends with who started it, however that ends; also if that has happened already.
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != std::strtol(argv[1], nullptr, 10)) return 1;
  // What the program has open, and has not marked, is nothing of ours.
  (void)::close_range(socket_of_chip + 1, ~0U, 0);
  (void)::fcntl(socket_of_chip, F_SETFD, FD_CLOEXEC);
  (void)std::signal(SIGPIPE, SIG_IGN);
  auto* const process = new Process(troupe::comm::FileDescriptor(socket_of_chip));
  process->serve();
  (void)std::fflush(stdout);
  // Without destructors: a kernel may still be on some thread.
  ::_exit(0);
}
