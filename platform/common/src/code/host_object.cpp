#include "code/host_object.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <optional>
#include <string>
#include <system_error>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/object_file.hpp"

namespace troupe::platform::common {

namespace {

Error not_loaded(const std::string& why) { return {Errc::bad_callable, why}; }

bool write_all(int file, std::span<const std::byte> object) {
  while (!object.empty()) {
    const ssize_t written = write(file, object.data(), object.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    object = object.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

// Unique symbols are one for the whole process: a kernel would find the state of another one, or of its own
// earlier load, and none would ever be unloaded. In our copy they are ordinary ones.
bool part_from_others(int file, std::span<const std::byte> object) {
  for (const std::size_t place : runtime::unique_symbols(object)) {
    const auto type = static_cast<unsigned>(std::to_integer<unsigned char>(object[place])) & 0xFU;
    const auto info = static_cast<unsigned char>(ELF64_ST_INFO(STB_GLOBAL, type));
    if (pwrite(file, &info, 1, static_cast<off_t>(place)) != 1) return false;
  }
  return true;
}

/// A file in memory alone, gone with its last user.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& name)
      : file_(memfd_create(name.substr(0, longest_name).c_str(), MFD_CLOEXEC)) {}
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() {
    if (file_ >= 0) close(file_);
  }
  int get() const noexcept { return file_; }

  // The loader takes a library for one that it knows when the path is the same, before it looks at the file;
  // and what dlclose leaves mapped stays known. Descriptors come again, the file's number (inode) does not as
  // long as somebody has the file mapped: so it is written into the path, a bit as "/" or "/.", which names
  // the same place.
  std::optional<std::string> path() const {
    struct stat status;
    if (fstat(file_, &status) != 0) return std::nullopt;
    const std::uint64_t number = status.st_ino;
    std::string path = "/proc/self/fd";
    for (auto bit = std::bit_floor(number); bit != 0; bit >>= 1) path += (number & bit) != 0 ? "/." : "/";
    return path + "/" + std::to_string(file_);
  }

 private:
  static constexpr std::size_t longest_name = 200;  // the kernel takes 249 bytes
  int file_;
};

}  // namespace

Result<HostObject> HostObject::load(std::string_view name, std::span<const std::byte> object,
                                    Missing functions) {
  if (const auto defect = runtime::object_defect(object); !defect.empty()) return not_loaded(defect);
  const MemoryFile file{std::string(name)};
  const auto path = file.path();
  if (!path || !write_all(file.get(), object) || !part_from_others(file.get(), object)) {
    return not_loaded("no memory file: " + std::generic_category().message(errno));
  }
  // Never seen, but nothing would be worse than another kernel in the place of this one.
  if (void* known = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD); known != nullptr) {
    dlclose(known);
    return not_loaded("the dynamic linker takes it for a library that it knows (" + *path + ")");
  }
  const int binding = functions == Missing::allowed ? RTLD_LAZY : RTLD_NOW;
  HostObject loaded(dlopen(path->c_str(), binding | RTLD_LOCAL));
  if (loaded.library_ == nullptr)
    return not_loaded(dlerror());  // NOLINT(concurrency-mt-unsafe): per thread in glibc
  return loaded;
}

void* HostObject::symbol(const char* name) const noexcept { return dlsym(library_.get(), name); }

void HostObject::Unload::operator()(void* library) const noexcept { dlclose(library); }

}  // namespace troupe::platform::common
