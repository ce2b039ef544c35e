package lab

import (
	"context"
	"strconv"
	"strings"
)

// standInScript runs the cluster's own haproxy image as something that answers
// every question with ok, with the API server's certificate. It takes clients side
// by side, as keepalived's check gives a second and others keep connections open.
const standInScript = `set -e
ctr --namespace k8s.io task ls | grep -q '^lab-api .*RUNNING' && exit 0
ctr --namespace k8s.io container rm lab-api 2>/dev/null || true
mkdir -p /run/lab-api
(umask 077; cat /etc/kubernetes/pki/apiserver.crt /etc/kubernetes/pki/apiserver.key >/run/lab-api/api.pem)
cat >/run/lab-api/haproxy.cfg <<'END'
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend api
    bind *:${PORT} ssl crt /run/lab-api/api.pem
    http-request return status 200 content-type text/plain string ok
END
ctr --namespace k8s.io run --detach --net-host --log-uri file:///var/log/lab-api.log --mount type=bind,src=/run/lab-api,dst=/run/lab-api,options=rbind:ro \
    ${IMAGE} lab-api haproxy -db -f /run/lab-api/haproxy.cfg
`

// standIn has a machine answer as a ready API server would: keepalived asks for nothing else.
func (t *Trial) standIn(ctx context.Context, v *VM) error {
	fill := strings.NewReplacer("${PORT}", strconv.Itoa(t.Plan.Endpoint.APIServerPort), "${IMAGE}", fullName(t.Plan.Images.HAProxy))
	_, err := v.Run(ctx, "sh", "-c", fill.Replace(standInScript))
	return err
}
