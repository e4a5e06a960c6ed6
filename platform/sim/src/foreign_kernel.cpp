#include "foreign_kernel.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "sim_hooks.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

#if defined(__x86_64__)
constexpr std::uint16_t this_machine = EM_X86_64;
#else
constexpr std::uint16_t this_machine = EM_AARCH64;
#endif

Error cannot_load(std::string_view name, const std::string& why) {
  return Error(Errc::bad_callable, "cannot load kernel '" + std::string(name) + "': " + why,
               "a kernel object is a shared library that exports extern \"C\" void kernel_entry(int64_t*)");
}

// What the loader itself does not check: it maps segments as the headers say and faults on bytes that a cut
// file does not have.
const char* defect_of(std::span<const std::byte> object) {
  Elf64_Ehdr header;
  if (object.size() < sizeof header) return "the bytes are no ELF object";
  std::memcpy(&header, object.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "the bytes are no ELF object";
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != this_machine) {
    return "the object is for another processor";
  }
  if (header.e_type != ET_DYN) return "the object is no shared library";
  const std::uint64_t segments = header.e_phoff;
  const std::uint64_t size = std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || segments > object.size() ||
      size > object.size() - segments) {
    return "its program headers lie outside of it";
  }
  for (std::uint16_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, object.data() + segments + i * sizeof segment, sizeof segment);
    if (segment.p_offset > object.size() || segment.p_filesz > object.size() - segment.p_offset) {
      return "it is cut off: a segment lies outside of it";
    }
  }
  return nullptr;
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
  if (const char* defect = defect_of(object)) return cannot_load(name, defect);
  if (!publish_hooks()) return cannot_load(name, "libtroupe_sim_hooks.so cannot be made global");
  std::unique_ptr<ForeignKernel> kernel(new ForeignKernel(name));
  kernel->file_ = memfd_create(kernel->name_.c_str(), MFD_CLOEXEC);
  if (kernel->file_ < 0 || !write_all(kernel->file_, object)) {
    return cannot_load(name, "no memory file: " + std::generic_category().message(errno));
  }
  // The file stays open as long as the library: the loader knows libraries by path, so a path that came back
  // with a recycled descriptor would name the old one.
  const std::string path = "/proc/self/fd/" + std::to_string(kernel->file_);
  kernel->library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (kernel->library_ == nullptr)
    return cannot_load(name, dlerror());  // NOLINT(concurrency-mt-unsafe): per thread in glibc
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
