# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of xl.cfg(5) and old xm files: which the domain XML holds, which not, and why."""

CARRIED = frozenset(
    """
    name uuid type builder pvh ms_vm_genid memory maxmem vcpus maxvcpus cpus
    on_poweroff on_reboot on_crash kernel ramdisk cmdline root extra bootloader bootloader_args
    bootargs e820_host hap nestedhvm acpi apic pae viridian passthrough tsc_mode hpet localtime
    rtc_timeoffset bios firmware boot acpi_firmware device_model_override device_model
    disk vif vfb vnc vnclisten vncdisplay vncunused vncpasswd keymap sdl display xauthority
    nographic spice spicehost spiceport spicetls_port spicepasswd spicedisable_ticketing
    stdvga vga videoram serial parallel soundhw usb usbdevice pci channel
    """.split()
)

BY_HAND = "give the guest on KVM its own by 'virsh edit'"
_MACHINE = "it tunes Xen's machine, which KVM has not"
_HOST = "it is about the Xen host"
_DEFAULT = "KVM has it always"
_SCHEDULER = "it is for Xen's scheduler; <cputune> does the same"
_DEVICE = "the device exists under Xen alone"
USB_DEVICE = (
    "it hands a USB device of the Xen host to the guest; plug that into the KVM host, and give it "
    "to the guest there, by 'virsh attach-device'"
)
TO_DO = frozenset({BY_HAND, USB_DEVICE})  # the guest lacks something until that is done

UNNEEDED: dict[str, str] = {
    **dict.fromkeys(
        """
        max_grant_frames max_maptrack_frames max_grant_version max_event_channels shadow_memory
        xen_platform_pci altp2m altp2mhvm mca_caps msr_relaxed vpt_align timer_mode
        suppress_spurious_page_faults mmio_hole rdm rdm_mem_boundary vmtrace_buf_kb vpmu claim_mode
        blkdev_start hdtype device_model_version device_model_stubdomain_override
        device_model_stubdomain_seclabel stubdomain_kernel stubdomain_ramdisk stubdomain_cmdline
        stubdomain_memory dm_restrict arch_libdir oos features xend_suspend_evtchn_compat
        pci_msitranslate pci_power_mgmt pci_permissive pci_seize pvcalls argo
        pvshim pvshim_path pvshim_cmdline pvshim_extra pirq hvm_pirq tee vendor_device
        acpi_laptop_slate
        """.split(),
        _MACHINE,
    ),
    **dict.fromkeys(
        """
        seclabel init_seclabel device_model_seclabel pool driver_domain nomigrate monitor restart
        on_xend_start on_xend_stop on_watchdog on_soft_reset vncviewer vncconsole opengl
        cpus_soft nfs_server nfs_root dhcp netmask gateway hostname ip bootentry guest_os_type
        bios_path_override firmware_override bootloader_restrict bootloader_user device_model_user
        smbios_firmware smbios dom0_mem
        """.split(),
        _HOST,
    ),
    **dict.fromkeys("nx acpi_s3 acpi_s4 usbversion usbctrl".split(), _DEFAULT),
    **dict.fromkeys("cpu_weight cap cpu sched vcpu_avail".split(), _SCHEDULER),
    **dict.fromkeys("vdispl vsnd vkb vkb_device virtio".split(), _DEVICE),
    "usbdev": USB_DEVICE,
    **dict.fromkeys(
        "vtpm p9 gfx_passthru ioports iomem irqs dt_dev device_tree device_model_args "
        "device_model_args_pv device_model_args_hvm cpuid vnuma spicevdagent spiceusbredirection "
        "spiceagent_mouse spice_clipboard_sharing spice_image_compression "
        "spice_streaming_video".split(),
        BY_HAND,
    ),
}
