#include "node/module_store.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/module_abi.h"
#include "troupe/runtime/object_file.hpp"

namespace troupe::platform::isolation {
namespace {

Error failed(const std::string& doing) {
  return Error(Errc::system, doing + ": " + std::generic_category().message(errno));
}

}  // namespace

void ModuleImage::Unmap::operator()(std::byte* memory) const noexcept { (void)::munmap(memory, bytes); }

Result<ModuleImage> ModuleImage::make(const std::string& name, std::uint64_t size) {
  if (size > ModuleStore::most_bytes) return Error(Errc::invalid_argument, "a module of more than 1 GiB");
  ModuleImage image;
  image.size_ = size;
  image.memory_.reset(::memfd_create(name.substr(0, 200).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!image.memory_.valid() || ::ftruncate(image.memory_.get(), static_cast<off_t>(size)) != 0)
    return failed("memory for a module");
  void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, image.memory_.get(), 0);
  if (mapped == MAP_FAILED) return failed("memory for a module");
  image.writing_ = Mapping(static_cast<std::byte*>(mapped), Unmap{static_cast<std::size_t>(size)});
  // What is mapped already stays writable: processes of this user could open the file, which has a path.
  if (::fcntl(image.memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) != 0)
    return failed("sealing a module");
  return image;
}

Result<void> ModuleImage::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return {};
  if (writing_ == nullptr || bytes.size() > size_ - bytes_)
    return Error(Errc::invalid_argument, "a module has become longer while it was read");
  // Where there is no memory this says so; the mapping could not.
  int problem = 0;
  do {
    problem = ::posix_fallocate(memory_.get(), static_cast<off_t>(bytes_), static_cast<off_t>(bytes.size()));
  } while (problem == EINTR);
  if (problem != 0) {
    errno = problem;
    return failed("memory for a module");
  }
  std::memcpy(writing_.get() + bytes_, bytes.data(), bytes.size());
  hasher_.raw(bytes);
  bytes_ += bytes.size();
  return {};
}

Result<runtime::Digest> ModuleImage::seal() {
  writing_.reset();
  if (::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) != 0) return failed("sealing a module");
  return hasher_.finish();
}

std::string ModuleImage::defect() const {
  const auto size = static_cast<std::size_t>(size_);
  void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, memory_.get(), 0);
  if (memory == MAP_FAILED) return failed("it cannot be mapped").message();
  const Mapping mapped(static_cast<std::byte*>(memory), Unmap{size});
  if (auto wrong = runtime::object_defect({mapped.get(), size}); !wrong.empty()) return wrong;
  constexpr std::string_view symbol = TROUPE_MODULE_SYMBOL;
  const bool has_it = ::memmem(mapped.get(), size, symbol.data(), symbol.size()) != nullptr;
  return has_it ? std::string() : "it exports no symbol \"" + std::string(symbol) + "\"";
}

std::string ModuleImage::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(memory_.get());
}

Result<void> ModuleStore::read(const std::string& file) {
  std::ifstream from(file, std::ios::binary);
  if (!from) return Error(Errc::load_failed, "cannot read module '" + file + "'");
  std::error_code problem;
  const auto size = std::filesystem::file_size(file, problem);
  if (problem) return Error(Errc::load_failed, "cannot read module '" + file + "': " + problem.message());
  if (size == 0) return Error(Errc::load_failed, "cannot read module '" + file + "': there is nothing in it");
  auto image = ModuleImage::make(file.substr(file.find_last_of('/') + 1), size);
  if (!image) return image.error();
  std::vector<char> bytes(std::size_t{1} << 20U);
  while (from.read(bytes.data(), static_cast<std::streamsize>(bytes.size())) || from.gcount() > 0) {
    const std::span part(bytes.data(), static_cast<std::size_t>(from.gcount()));
    if (auto added = image->append(std::as_bytes(part)); !added) return added;
  }
  if (!image->is_whole())
    return Error(Errc::load_failed, "cannot read module '" + file + "': it has become shorter meanwhile");
  auto digest = image->seal();
  if (!digest) return digest.error();
  if (const auto wrong = image->defect(); !wrong.empty()) {
    return Error(
        Errc::load_failed, "'" + file + "' is no module: " + wrong,
        "a module is a shared object for this machine, with TROUPE_MODULE in one of its source files");
  }
  const std::lock_guard lock(mutex_);
  images_.try_emplace(*digest, Kept{*std::move(image), nullptr});
  return {};
}

std::optional<ModuleStore::Room> ModuleStore::room_for(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > most_shipped - shipped_.load()) return std::nullopt;
  shipped_.fetch_add(bytes);
  return Room(&shipped_, GiveBackBytes{bytes});
}

void ModuleStore::ship(const runtime::Digest& digest, ModuleImage image, Room room) {
  const std::lock_guard lock(mutex_);
  images_.try_emplace(digest, Kept{std::move(image), std::move(room)});
}

void ModuleStore::forget_shipped() {
  const std::lock_guard lock(mutex_);
  std::erase_if(images_, [](const auto& one) { return one.second.room != nullptr; });
}

std::optional<std::string> ModuleStore::path_of(const runtime::Digest& digest) const {
  const std::lock_guard lock(mutex_);
  const auto found = images_.find(digest);
  if (found == images_.end()) return std::nullopt;
  return found->second.image.path();
}

std::optional<runtime::Digest> digest_from(std::string_view digits) {
  runtime::Digest digest;
  if (digits.size() != 2 * digest.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const char c = digits[i];
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) return std::nullopt;
    auto& byte = digest.bytes[i / 2];
    byte = static_cast<std::uint8_t>(byte << 4U | static_cast<unsigned>(value));
  }
  return digest;
}

}  // namespace troupe::platform::isolation
