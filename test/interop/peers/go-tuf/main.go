// Reads a TUF repository the way a go-tuf user would: refresh, then download every target.
//
// Prints one JSON line with the versions it came to trust; exits 1 when anything is refused. With -find it looks
// one target up instead, and prints the length that is signed and its own peak memory.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"syscall"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

const module = "github.com/theupdateframework/go-tuf/v2"

type report struct {
	Client     string   `json:"client"`
	Root       int64    `json:"root"`
	Timestamp  int64    `json:"timestamp"`
	Snapshot   int64    `json:"snapshot"`
	Targets    int64    `json:"targets"`
	Downloaded []string `json:"downloaded"`
}

func main() {
	root := flag.String("root", "", "file of the root to trust")
	metadataURL := flag.String("metadata-url", "", "where the metadata is")
	targetsURL := flag.String("targets-url", "", "where the targets are")
	out := flag.String("out", "", "folder for the targets")
	state := flag.String("state", "", "folder for trusted metadata")
	find := flag.String("find", "", "look this target up and download nothing")
	flag.Parse()

	client, err := open(*root, *metadataURL, *targetsURL, *out, *state)
	var result any
	if err == nil && *find != "" {
		result, err = lookUp(client, *find)
	} else if err == nil {
		result, err = read(client, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	line, err := json.Marshal(result)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}

func open(root, metadataURL, targetsURL, out, state string) (*updater.Updater, error) {
	trusted, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	settings, err := config.New(metadataURL, trusted)
	if err != nil {
		return nil, err
	}
	settings.LocalMetadataDir = state
	settings.LocalTargetsDir = out
	settings.RemoteTargetsURL = targetsURL
	client, err := updater.New(settings)
	if err != nil {
		return nil, err
	}
	return client, client.Refresh()
}

type lookUpReport struct {
	Length  int64 `json:"length"`
	PeakKiB int64 `json:"peakKiB"`
}

func lookUp(client *updater.Updater, name string) (*lookUpReport, error) {
	target, err := client.GetTargetInfo(name)
	if err != nil {
		return nil, err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return nil, err
	}
	return &lookUpReport{Length: target.Length, PeakKiB: usage.Maxrss}, nil
}

func read(client *updater.Updater, out string) (*report, error) {
	names := make([]string, 0)
	for name := range client.GetTopLevelTargets() {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := download(client, name, out); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}

	set := client.GetTrustedMetadataSet()
	return &report{
		Client:     "go-tuf " + moduleVersion(),
		Root:       set.Root.Signed.Version,
		Timestamp:  set.Timestamp.Signed.Version,
		Snapshot:   set.Snapshot.Signed.Version,
		Targets:    set.Targets[metadata.TARGETS].Signed.Version,
		Downloaded: names,
	}, nil
}

func download(client *updater.Updater, name, out string) error {
	target, err := client.GetTargetInfo(name)
	if err != nil {
		return err
	}
	path := filepath.Join(out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	_, _, err = client.DownloadTarget(target, path, "")
	return err
}

func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
