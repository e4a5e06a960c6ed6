#pragma once

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>

namespace troupe::test {

/// Runs `check` in a child of this process, which ends without a look at what it leaves behind (threads, and
/// for whoever counts it, memory). What it answers: empty, or what was wrong; also that it crashed, or took
/// more than a minute.
inline std::string apart(const std::function<std::string()>& check) {
  const int words = memfd_create("words", MFD_CLOEXEC);
  const pid_t child = fork();
  if (child == 0) {
    (void)alarm(60);
    const std::string wrong = check();
    (void)!write(words, wrong.data(), wrong.size());
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::string wrong(4096, '\0');
  const auto length = pread(words, wrong.data(), wrong.size(), 0);
  wrong.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  close(words);
  if (WIFSIGNALED(status)) wrong += "it ended with signal " + std::to_string(WTERMSIG(status));
  return wrong;
}

}  // namespace troupe::test
