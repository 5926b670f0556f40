"""One-time secrets."""



def create(stack, dns, expires='2d', template=None):
    return stack.ctl_json('secret', 'create', '--template',
                          template or stack.env['CS_TEMPLATE_MACHINE'],
                          '--dns', dns, '--expires', expires)[0]
