int part3(void)
{
    return VALUE;
}
