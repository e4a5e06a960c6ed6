// A window whose header page holds any bytes: it is imported only when the header is that of the window that
// was asked for.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "troupe/comm/window.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::comm;
  constexpr std::size_t page = 4096;
  FileDescriptor memory(::memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (::ftruncate(memory.get(), 2 * page) != 0) std::abort();
  if (::pwrite(memory.get(), data, std::min(size, page), 0) < 0) std::abort();
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) std::abort();
  struct stat status {};
  if (::fstat(memory.get(), &status) != 0) std::abort();
  const WindowSpec own{.domain = {1, 2}, .generation = 3, .rank = 0, .ranks = 2, .bytes = 100};
  WindowSpec peer = own;
  peer.rank = 1;
  const WindowOffer offer{.spec = peer,
                          .process = static_cast<std::uint64_t>(::getpid()),
                          .descriptor = memory.get(),
                          .device = status.st_dev,
                          .inode = status.st_ino};
  const auto window = Window::import(own, offer, std::move(memory));
  if (window && window->spec() != peer) std::abort();
  return 0;
}
