// Kernels that take their process along, and some that behave.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "troupe/platform/chip_program.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/kernel.hpp"

using troupe::platform::ChipArgs;
using troupe::platform::ChipOrchestrator;
using troupe::runtime::Compare;
using troupe::runtime::KernelArgs;

TROUPE_MODULE("isolated_kernels");

TROUPE_KERNEL(isolated_add)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element += k.scalar<float>(0);
}
TROUPE_KERNEL(isolated_add_2d)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (std::size_t i = 0; i < x.extent(0); ++i) {
    for (std::size_t j = 0; j < x.extent(1); ++j) x(i, j) += k.scalar<float>(0);
  }
}
TROUPE_KERNEL(isolated_writes_and_fails)(KernelArgs& k) {
  const auto x = k.tensor<float>(0);
  for (std::size_t i = 0; i < x.extent(0); ++i) x(i, 0) = -1.0F;
  k.fail("after all of it");
}
TROUPE_KERNEL(isolated_copy)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
}
TROUPE_KERNEL(isolated_nothing)(KernelArgs&) {}
TROUPE_KERNEL(isolated_process)(KernelArgs& k) { k.tensor<std::int64_t>(0)[0] = ::getpid(); }
TROUPE_KERNEL(isolated_fails)(KernelArgs& k) { k.fail("on purpose"); }
TROUPE_KERNEL(isolated_crash)(KernelArgs&) {
  volatile int* volatile nowhere = nullptr;  // compilers leave out a store that they know to go nowhere
  *nowhere = 1;                              // NOLINT(clang-analyzer-core.NullDereference): that is the point
}
TROUPE_KERNEL(isolated_crash_on_one)(KernelArgs& k) {
  volatile int* volatile nowhere = nullptr;
  if (k.tensor<const float>(0)[0] == 1.0F) *nowhere = 1;  // NOLINT(clang-analyzer-core.NullDereference)
}
TROUPE_KERNEL(isolated_crash_if)(KernelArgs& k) {
  // Once: whoever has made the file away is next time told that it is there.
  const char* once = std::getenv("TROUPE_TEST_CRASH_ONCE");
  if (once == nullptr || ::access(once, F_OK) == 0) {
    const auto from = k.tensor<const float>(0);
    const auto to = k.tensor<float>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i] + 1.0F;
    return;
  }
  ::close(::open(once, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  std::raise(SIGKILL);
}
TROUPE_KERNEL(isolated_exit)(KernelArgs&) { std::exit(7); }
TROUPE_KERNEL(isolated_abort)(KernelArgs&) { std::abort(); }
TROUPE_KERNEL(isolated_loop)(KernelArgs&) {
  volatile bool for_ever = true;
  while (for_ever) {
  }
}
TROUPE_KERNEL(isolated_stop)(KernelArgs&) { std::raise(SIGSTOP); }
TROUPE_KERNEL(isolated_closes)(KernelArgs&) {
  ::close(3);
  for (;;) ::pause();
}
TROUPE_KERNEL(isolated_closes_all)(KernelArgs& k) {
  (void)::close_range(3, ~0U, 0);
  while (k.scalar<std::int32_t>(0) != 0) ::pause();
}
TROUPE_KERNEL(isolated_garbage)(KernelArgs& k) {
  char bytes[4096];
  std::memset(bytes, static_cast<int>(k.scalar<std::int32_t>(0)), sizeof bytes);
  (void)!::write(3, bytes, sizeof bytes);
  for (;;) ::pause();
}
TROUPE_KERNEL(isolated_says)(KernelArgs&) {
  std::printf("said by a kernel\n");
  std::fflush(stdout);
}
TROUPE_KERNEL(isolated_leaves_children)(KernelArgs& k) {
  const auto child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  k.tensor<std::int64_t>(0)[0] = child;
}

// Waits for its turn, raises the next rank's token; the first word of each window is its token.
TROUPE_KERNEL(isolated_token)(KernelArgs& k) {
  const auto& domain = *k.scalar<const troupe::runtime::CommContext*>(0);
  auto* mine = reinterpret_cast<std::int32_t*>(domain.windows_in[domain.rank]);
  auto* next = domain.on_peer(mine, (domain.rank + 1) % domain.rank_count);
  const auto ready = troupe::runtime::WaitStatus::ready;
  for (std::int32_t round = 1; round <= k.scalar<std::int32_t>(1); ++round) {
    const std::int32_t wanted = domain.rank == 0 ? round - 1 : round;
    if (k.wait_until(*mine, Compare::greater_equal, wanted) != ready) return;
    k.notify(*next, round);
  }
  if (domain.rank == 0) k.wait_until(*mine, Compare::greater_equal, k.scalar<std::int32_t>(1));
}

TROUPE_CHIP_PROGRAM(isolated_chain)(ChipOrchestrator& chip, ChipArgs args) {
  for (int i = 0; i < 4; ++i) {
    chip.aiv("isolated_add", troupe::runtime::inout(args.tensor(0)), troupe::runtime::scalar(1.0F));
  }
}
