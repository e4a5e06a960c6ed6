#include "troupe/runtime/module.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "loaded_object.hpp"
#include "text.hpp"
#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/object_file.hpp"

namespace troupe::runtime {
namespace {

Error malformed(std::string_view origin, std::string_view what) {
  return Error(Errc::module_malformed, text("module \"", origin, "\": ", what));
}

/// A C string of a module, of at most `limit` bytes; null when it is longer or not there.
const char* bounded(const char* string, std::size_t limit) {
  return string != nullptr && ::strnlen(string, limit + 1) <= limit ? string : nullptr;
}

Result<void> check(const troupe_callable_v1& callable, std::size_t index, std::string_view origin) {
  if (callable.size < sizeof(troupe_callable_v1)) {
    return malformed(origin, text("descriptor ", index, " has ", callable.size, " bytes"));
  }
  const char* name = bounded(callable.name, limits::callable_name);
  if (name == nullptr || *name == '\0') {
    return malformed(origin,
                     text("descriptor ", index, " has no name of 1 to ", limits::callable_name, " bytes"));
  }
  if (callable.kind < TROUPE_CALLABLE_KERNEL || callable.kind > TROUPE_CALLABLE_HOST_FUNCTION) {
    return malformed(origin, text("\"", name, "\" is of unknown kind ", callable.kind));
  }
  if (bounded(callable.signature, limits::signature) == nullptr) {
    return malformed(origin, text("\"", name, "\" has no signature"));
  }
  if (callable.invoke.program == nullptr) return malformed(origin, text("\"", name, "\" has no function"));
  return {};
}

const void* code_of(const troupe_callable_v1& callable) {
  // All members of the union are function pointers; on every platform with dlsym they have a void pointer's
  // form.
  return reinterpret_cast<const void*>(callable.invoke.program);
}

CallableName name_and_kind(const troupe_callable_v1& callable) {
  return {callable.kind, callable.name, callable.signature};
}

std::string read_file(const std::string& path, bool& ok) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  std::vector<char> block(std::size_t{1} << 16U);
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0) {
    bytes.append(block.data(), static_cast<std::size_t>(file.gcount()));
  }
  ok = file.eof();  // a directory opens, but has no end
  return bytes;
}

/// Which file a path leads to, and its contents as far as the file system tells.
struct FileState {
  explicit FileState(const std::string& path) : known(::stat(path.c_str(), &is) == 0) {}
  bool operator==(const FileState& other) const noexcept {
    const auto same = [](const timespec& a, const timespec& b) {
      return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return known && other.known && is.st_dev == other.is.st_dev && is.st_ino == other.is.st_ino &&
           is.st_size == other.is.st_size && same(is.st_mtim, other.is.st_mtim);
  }

  struct stat is {};
  bool known;
};

/// Where the dynamic linker put what it gave this handle for.
std::uintptr_t base_of(void* library) {
  const link_map* map = nullptr;
  return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr ? map->l_addr : 0;
}

/// Whether the linker answered with an object that it had from this path before the file was another one.
bool is_older(void* library, std::span<const std::byte> image, const Digest& whole) {
  const auto base = base_of(library);
  if (const auto file = remembered_file(base)) return *file != whole;
  // Somebody else may have loaded it before.
  const link_map* map = nullptr;
  if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return false;
  const auto mapped = build_id_of(map->l_ld);
  const auto now = build_id_in(image);
  return !std::ranges::equal(mapped, now);
}

}  // namespace

struct Module::State {
  void* library = nullptr;  ///< of a file; never closed
  const troupe_module_v1* raw = nullptr;
  std::string name, origin;
  std::vector<Callable> callables;
};

std::string_view name_of(CallableKind kind) noexcept {
  switch (kind) {
    case CallableKind::kernel:
      return "kernel";
    case CallableKind::chip_program:
      return "chip program";
    case CallableKind::program:
      return "program";
    case CallableKind::host_function:
      return "host function";
  }
  return "?";
}

Result<void> validate(const troupe_module_v1* module, std::string_view origin) {
  if (module == nullptr) return malformed(origin, "its module structure is null");
  if (module->magic != TROUPE_MODULE_MAGIC) return malformed(origin, "its module structure is none");
  if (module->version != TROUPE_MODULE_VERSION) {
    return Error(Errc::module_version,
                 text("module \"", origin, "\" has layout version ", module->version, "; this build reads ",
                      TROUPE_MODULE_VERSION),
                 "rebuild it with this version of troupe");
  }
  if (module->size < TROUPE_MODULE_LEAST_SIZE || module->callable_size < sizeof(troupe_callable_v1)) {
    return malformed(origin, "its structures are smaller than their version says");
  }
  const char* name = bounded(module->name, limits::callable_name);
  if (name == nullptr || *name == '\0') return malformed(origin, "it has no name");
  const auto begin = reinterpret_cast<std::uintptr_t>(module->begin);
  const auto end = reinterpret_cast<std::uintptr_t>(module->end);
  if (end < begin || (end - begin) % sizeof(void*) != 0 || (begin == 0 && end != 0)) {
    return malformed(origin, "its list of callables contradicts itself");
  }
  if (TROUPE_MODULE_HAS(module, waits_end) &&
      (module->waits_end < module->waits_begin ||
       (module->waits_begin == nullptr) != (module->waits_end == nullptr))) {
    return malformed(origin, "its list of waits contradicts itself");
  }
  if (TROUPE_MODULE_HAS(module, images_end)) {
    if (module->images_end < module->images_begin ||
        (module->images_begin == nullptr) != (module->images_end == nullptr)) {
      return malformed(origin, "its list of device images contradicts itself");
    }
    for (const auto* image = module->images_begin; image != module->images_end; ++image) {
      if (*image == nullptr) continue;
      if ((*image)->size < sizeof(troupe_device_image_v1) || (*image)->bytes == nullptr ||
          (*image)->byte_count == 0) {
        return malformed(origin, text("its device image ", image - module->images_begin, " is empty"));
      }
    }
  }
  std::set<std::pair<std::uint32_t, std::string_view>> seen;
  for (const auto* entry = module->begin; entry != module->end; ++entry) {
    if (*entry == nullptr) continue;
    const auto index = static_cast<std::size_t>(entry - module->begin);
    if (auto ok = check(**entry, index, origin); !ok) return ok;
    if (!seen.emplace((*entry)->kind, (*entry)->name).second) {
      return malformed(origin, text("it defines the ", name_of(static_cast<CallableKind>((*entry)->kind)),
                                    " \"", (*entry)->name, "\" twice"));
    }
  }
  return {};
}

bool has_waits(const troupe_module_v1& module) noexcept {
  if (!TROUPE_MODULE_HAS(&module, waits_end) || module.waits_begin == nullptr) return true;
  return std::any_of(module.waits_begin, module.waits_end, [](std::uint8_t place) { return place != 0; });
}

Module::Module(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Module> Module::from(const troupe_module_v1* module, std::string origin) {
  if (auto ok = validate(module, origin); !ok) return ok.error();
  auto state = std::make_shared<State>();
  state->raw = module;
  state->name = module->name;
  state->origin = std::move(origin);
  // Usually all callables lie in one object; its identity may cost the hash of a file, so it is kept.
  std::uintptr_t identified = 0;
  Digest identity;
  for (const auto* entry = module->begin; entry != module->end; ++entry) {
    if (*entry == nullptr) continue;
    const void* code = code_of(**entry);
    const std::optional<LoadedObject> object = loaded_object_at(code);
    if (!object) {
      return Error(Errc::digest_unavailable,
                   text("module \"", state->origin, "\": \"", (*entry)->name, "\" lies in no loaded object"));
    }
    if (identity.empty() || object->base != identified) {
      const Result<Digest> found = identity_of(*object);
      if (!found) return found.error();
      identity = *found;
      identified = object->base;
    }
    state->callables.push_back({*entry, digest_in(name_and_kind(**entry), *object, identity, code)});
  }
  return Module(std::move(state));
}

Result<Module> Module::open(const std::string& file) {
  // Reading a pipe or a device might never end.
  if (std::error_code unknown; std::filesystem::is_fifo(file, unknown) ||
                               std::filesystem::is_character_file(file, unknown) ||
                               std::filesystem::is_block_file(file, unknown)) {
    return Error(Errc::module_unreadable, text("cannot read module \"", file, "\": it is no regular file"),
                 "a module is a shared object with TROUPE_MODULE in one of its source files");
  }
  // The linker knows objects by the path that they were asked for with, and a relative one means another file
  // when the process moves. Links are kept: what the object needs may lie beside them ($ORIGIN).
  std::error_code lost;
  const std::string place = std::filesystem::absolute(file, lost).string();
  const FileState before(place);
  bool readable = false;
  errno = 0;
  const std::string bytes = read_file(file, readable);
  const int problem = errno;
  const auto image = std::as_bytes(std::span(bytes));
  if (!readable || lost)
    return Error(Errc::module_unreadable,
                 text("cannot read module \"", file,
                      "\": ", readable ? lost.message() : std::generic_category().message(problem)),
                 "a module is a shared object with TROUPE_MODULE in one of its source files");
  if (const std::string defect = object_defect(image); !defect.empty()) {
    return Error(Errc::module_unreadable, text("cannot load module \"", file, "\": ", defect),
                 "a module is a shared object for this machine; build it again");
  }
  const Digest whole = sha256(image);
  void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* why = dlerror();  // NOLINT(concurrency-mt-unsafe): glibc keeps it per thread
    return Error(Errc::module_unreadable,
                 text("cannot load module \"", file, "\": ", why != nullptr ? why : "?"),
                 "every library that it was linked to has to be found: ldd shows which is not");
  }
  const auto refuse = [library](Error error) {
    dlclose(library);
    return error;
  };
  if (is_older(library, image, whole)) {
    return refuse(Error(Errc::module_unreadable,
                        text("module \"", file, "\" was replaced since this process loaded it"),
                        "load it under another name, or start the program again"));
  }
  if (!(before == FileState(place))) {
    return refuse(Error(Errc::module_unreadable,
                        text("module \"", file, "\" was replaced while it was being loaded"),
                        "load it when it is complete"));
  }
  const auto* symbol = static_cast<const troupe_module_v1* const*>(dlsym(library, TROUPE_MODULE_SYMBOL));
  if (symbol == nullptr) {
    return refuse(Error(Errc::module_symbol_missing,
                        text("\"", file, "\" exports no symbol \"", TROUPE_MODULE_SYMBOL, "\""),
                        "add TROUPE_MODULE(\"name\") to one of its source files"));
  }
  if (auto ok = validate(*symbol, file); !ok) return refuse(ok.error());
  remember_file(base_of(library), whole);
  auto state = std::make_shared<State>();
  state->library = library;
  state->raw = *symbol;
  state->name = (*symbol)->name;
  state->origin = file;
  for (const auto* entry = (*symbol)->begin; entry != (*symbol)->end; ++entry) {
    if (*entry != nullptr) state->callables.push_back({*entry, digest_of(name_and_kind(**entry), whole)});
  }
  return Module(std::move(state));
}

std::string_view Module::name() const noexcept { return state_->name; }
std::string_view Module::origin() const noexcept { return state_->origin; }
const troupe_module_v1* Module::raw() const noexcept { return state_->raw; }
const void* Module::symbol(const std::string& name) const noexcept {
  return state_->library != nullptr ? dlsym(state_->library, name.c_str()) : nullptr;
}
const std::vector<Callable>& Module::callables() const noexcept { return state_->callables; }

Result<Callable> Module::find(CallableKind kind, std::string_view name) const {
  for (const Callable& callable : state_->callables) {
    if (callable.kind() == kind && callable.name() == name) return callable;
  }
  return Error(Errc::callable_not_found,
               text("module \"", state_->name, "\" has no ", name_of(kind), " \"", name, "\""));
}

Result<Callable> Module::find(std::string_view name) const {
  const Callable* found = nullptr;
  std::string known;
  for (const Callable& callable : state_->callables) {
    known += text(known.empty() ? "" : ", ", callable.name());
    if (callable.name() != name) continue;
    if (found != nullptr) {
      return Error(Errc::callable_not_found,
                   text("\"", name, "\" is both a ", name_of(found->kind()), " and a ",
                        name_of(callable.kind()), " of module \"", state_->name, "\""),
                   "say which kind is meant");
    }
    found = &callable;
  }
  if (found != nullptr) return *found;
  return Error(Errc::callable_not_found, text("module \"", state_->name, "\" has no callable \"", name, "\""),
               known.empty() ? "it has none at all" : text("it has ", known));
}

}  // namespace troupe::runtime
