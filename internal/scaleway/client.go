package scaleway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/api/ipam/v1"
	"github.com/scaleway/scaleway-sdk-go/api/marketplace/v2"
	"github.com/scaleway/scaleway-sdk-go/api/vpc/v2"
	"github.com/scaleway/scaleway-sdk-go/logger"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// callTimeout bounds one call of the API.
const callTimeout = 90 * time.Second

// Client talks to the APIs of one project and zone.
type Client struct {
	instance *instance.API
	block    *block.API
	ipam     *ipam.API
	vpc      *vpc.API
	market   *marketplace.API
	store    *minio.Core // Object Storage of the region
	http     *http.Client
	limits   limits
	zone     scw.Zone
	region   scw.Region
	project  string
}

// limits bound calls of Object Storage; those of the APIs end with their HTTP client.
type limits struct {
	call time.Duration
	part time.Duration // the upload of one part, and putting parts together
}

// silent swallows what the SDK logs: with SCW_DEBUG=true that is every request, and
// user-data holds keys.
type silent struct{}

func (silent) Debugf(string, ...any)          {}
func (silent) Infof(string, ...any)           {}
func (silent) Warningf(string, ...any)        {}
func (silent) Errorf(string, ...any)          {}
func (silent) ShouldLog(logger.LogLevel) bool { return false }

// NewClient takes credentials and project from the environment (SCW_ACCESS_KEY,
// SCW_SECRET_KEY, SCW_DEFAULT_PROJECT_ID) and, where it is silent, from the active
// profile of the SDK's configuration file.
func NewClient(zone string) (*Client, error) {
	logger.SetLogger(silent{})
	profile, err := activeProfile()
	if err != nil {
		return nil, err
	}
	z, err := scw.ParseZone(zone)
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", zone, err)
	}
	region, err := z.Region()
	if err != nil {
		return nil, fmt.Errorf("region of zone %q: %w", zone, err)
	}
	if profile.DefaultProjectID == nil || *profile.DefaultProjectID == "" {
		return nil, errors.New("no project: set SCW_DEFAULT_PROJECT_ID, or run `scw init`")
	}
	if profile.AccessKey == nil || profile.SecretKey == nil {
		return nil, errors.New("no credentials: set SCW_ACCESS_KEY and SCW_SECRET_KEY, or run `scw init`")
	}
	patient := &http.Client{Timeout: callTimeout}
	client, err := scw.NewClient(scw.WithProfile(profile), scw.WithDefaultZone(z), scw.WithDefaultRegion(region),
		scw.WithUserAgent("imgforge"), scw.WithHTTPClient(patient))
	if err != nil {
		return nil, fmt.Errorf("credentials of Scaleway: %w", err)
	}
	store, err := objectStorage(profile, region)
	if err != nil {
		return nil, err
	}
	return &Client{
		store: store, http: patient, limits: limits{call: callTimeout, part: partTimeout},
		instance: instance.NewAPI(client), block: block.NewAPI(client), ipam: ipam.NewAPI(client), vpc: vpc.NewAPI(client), market: marketplace.NewAPI(client),
		zone: z, region: region, project: *profile.DefaultProjectID,
	}, nil
}

func activeProfile() (*scw.Profile, error) {
	env := scw.LoadEnvProfile()
	config, err := scw.LoadConfig()
	if _, missing := errors.AsType[*scw.ConfigFileNotFoundError](err); missing {
		return env, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration of Scaleway's SDK: %w", err)
	}
	profile, err := config.GetActiveProfile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration of Scaleway's SDK: %w", err)
	}
	return scw.MergeProfiles(profile, env), nil
}

// all are the options of a call that lists everything.
func all(ctx context.Context) []scw.RequestOption {
	return []scw.RequestOption{scw.WithContext(ctx), scw.WithAllPages()}
}

// permanent tells an answer that will be the same next time from what may pass: a
// rate limit, an object on its way to another state, a call that nobody answered.
func permanent(err error) bool {
	if r, ok := errors.AsType[*scw.ResponseError](err); ok {
		switch r.StatusCode {
		case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
			return false
		}
		return r.StatusCode >= 400 && r.StatusCode < 500
	}
	if r, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return refusedForGood(r)
	}
	for _, is := range []func() bool{
		func() bool { _, ok := errors.AsType[*scw.InvalidArgumentsError](err); return ok },
		func() bool { _, ok := errors.AsType[*scw.QuotasExceededError](err); return ok },
		func() bool { _, ok := errors.AsType[*scw.PermissionsDeniedError](err); return ok },
		func() bool { _, ok := errors.AsType[*scw.DeniedAuthenticationError](err); return ok },
		func() bool { _, ok := errors.AsType[*scw.OutOfStockError](err); return ok },
		func() bool { _, ok := errors.AsType[*failedServer](err); return ok },
		func() bool { _, ok := errors.AsType[*unknownImage](err); return ok },
		func() bool { _, ok := errors.AsType[*failedImage](err); return ok },
	} {
		if is() {
			return true
		}
	}
	return errors.Is(err, context.Canceled)
}

// absent tells that the object is not there (any more).
func absent(err error) bool {
	if _, ok := errors.AsType[*scw.ResourceNotFoundError](err); ok {
		return true
	}
	r, ok := errors.AsType[*scw.ResponseError](err)
	return ok && r.StatusCode == http.StatusNotFound
}

// failedServer is a server that does not get where it was sent.
type failedServer struct{ text string }

func (e *failedServer) Error() string { return e.text }

// unknownImage is a label that the marketplace does not know for a machine type.
type unknownImage struct{ label, kind, zone string }

func (e *unknownImage) Error() string {
	return fmt.Sprintf("the marketplace has no image %q that %s boots in %s: write another platform.scaleway.image or roles.<role>.type", e.label, e.kind, e.zone)
}
