#include "foreign_kernel.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sim_hooks.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

constexpr char elf_magic[] = {'\x7f', 'E', 'L', 'F'};

Error cannot_load(std::string_view name, const std::string& why) {
  return Error(Errc::bad_callable, "cannot load kernel '" + std::string(name) + "': " + why,
               "a kernel object is a shared library that exports extern \"C\" void kernel_entry(int64_t*)");
}

bool write_all(int file, std::span<const std::byte> object) {
  while (!object.empty()) {
    const ssize_t written = write(file, object.data(), object.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    object = object.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

// The plugin is loaded RTLD_LOCAL and the hooks with it; kernels look for them in the global scope.
bool publish_hooks() {
  Dl_info hooks;
  if (dladdr(reinterpret_cast<void*>(&pto_sim_get_subblock_id), &hooks) == 0) return false;
  return dlopen(hooks.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD) != nullptr;
}

}  // namespace

Result<std::unique_ptr<ForeignKernel>> ForeignKernel::load(std::string_view name,
                                                           std::span<const std::byte> object) {
  if (object.size() < sizeof elf_magic || std::memcmp(object.data(), elf_magic, sizeof elf_magic) != 0) {
    return cannot_load(name, "the bytes are no ELF object");
  }
  if (!publish_hooks()) return cannot_load(name, "libtroupe_sim_hooks.so cannot be made global");
  std::unique_ptr<ForeignKernel> kernel(new ForeignKernel(name));
  kernel->file_ = memfd_create(kernel->name_.c_str(), MFD_CLOEXEC);
  if (kernel->file_ < 0 || !write_all(kernel->file_, object)) {
    return cannot_load(name, std::string("no memory file: ") + std::strerror(errno));
  }
  // The file stays open as long as the library: the loader knows libraries by path, so a path that came back
  // with a recycled descriptor would name the old one.
  const std::string path = "/proc/self/fd/" + std::to_string(kernel->file_);
  kernel->library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (kernel->library_ == nullptr) return cannot_load(name, dlerror());
  kernel->entry_ = reinterpret_cast<Entry>(dlsym(kernel->library_, "kernel_entry"));
  if (kernel->entry_ == nullptr) return cannot_load(name, "it exports no kernel_entry");
  using RegisterHooks = void (*)(void*, void*);
  if (auto take = reinterpret_cast<RegisterHooks>(dlsym(kernel->library_, "pto_sim_register_hooks"))) {
    take(reinterpret_cast<void*>(&pto_sim_get_subblock_id),
         reinterpret_cast<void*>(&pto_sim_get_pipe_shared_state));
  }
  return kernel;
}

ForeignKernel::~ForeignKernel() {
  if (library_ != nullptr) dlclose(library_);
  if (file_ >= 0) close(file_);
}

}  // namespace troupe::platform::sim
